job run \
 --name pytorch-job-001 \
 --framework pytorch \
 --input_path "" \
 --num_workers 2 \
 --worker_resources memory=1G,vcores=1 \
 --worker_launch_cmd "myvenv.zip/venv/bin/python pytorch_mnist_distributed.py" \
 --insecure \
 --verbose \
 --conf tony.containers.resources=submarine/myvenv.zip#archive,submarine/pytorch_mnist_distributed.py,submarine-current/submarine-all-0.6.0-hadoop-2.9.jar
