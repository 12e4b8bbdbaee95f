job run --name pss --input_path hdfs:///data --num_workers 2 --worker_resources memory=2G --worker_launch_cmd "python t.py" \
  --num_ps 1 --ps_resources memory=2G --ps_launch_cmd "python t.py" --role chief:memory=2G,gpu=1 --role_cmd chief="python t.py" \
  --role evaluator:memory=2G --role_cmd evaluator="python t.py" --done_when all --tensorboard \
  --secret API_KEY=@key.txt --secret ./netrc=@key.txt --env_file vars.env
