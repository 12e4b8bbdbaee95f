job run --framework tensorflow --name my-job --docker_image tf-docker:1.1.0 --input_path hdfs://input \
  --checkpoint_path hdfs://output --num_workers 1 --worker_launch_cmd "python run-job.py" \
  --worker_resources memory=4g,vcores=2 --tensorboard true --verbose --wait_job_finish
