job run --name entry --docker_image tf-1.13.1-cpu:0.0.1 --input_path "" \
  --localization entry_script.py:/opt/code/entry_script.py \
  --localization other_scripts_dir:/opt/code/other_scripts_dir \
  --env PYTHONPATH="/opt/code/other_scripts_dir" \
  --worker_resources memory=2G,vcores=1 \
  --worker_launch_cmd "python /opt/code/entry_script.py --lr 0.1"
