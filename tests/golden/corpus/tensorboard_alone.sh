job run --name board --docker_image tf-docker:1.1.0 --num_workers 0 --tensorboard --verbose \
  --tensorboard_resources memory=2G,vcores=2 --tensorboard_docker_image tb_docker_image:001 \
  --checkpoint_path hdfs:///user/ml/runs
