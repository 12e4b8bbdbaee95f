job run --nmae digits --framework tensorfow --input_path data/digits --num_workers two --worker_resources memory=2048,vcores=2 \
  --worker_launch_cmd --num_ps 1 --ps_resources memory=1.5G --localization hdfs://nn:8020/x --quicklink UI=worker-0:80 --env 1A=2
