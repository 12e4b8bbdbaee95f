job run --framework jax --name j --input_path "" --num_workers 2 --worker_resources memory=1G,vcores=1,fpga=1 --worker_launch_cmd "python j.py 100%"
