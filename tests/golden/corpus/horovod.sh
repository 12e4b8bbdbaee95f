job run --framework Horovod --name hvd --input_path hdfs:///d --num_workers 4 --worker_resources memory=4G,vcores=4,gpu=1 \
  --worker_launch_cmd "python train.py --data %input_path% --out %saved_model_path%" --saved_model_path hdfs:///m
