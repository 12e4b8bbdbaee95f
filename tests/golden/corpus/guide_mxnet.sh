job run --name MXNet-job-001 \
 --framework mxnet \
 --input_path "" \
 --num_workers 2 \
 --worker_resources memory=3G,vcores=2 \
 --worker_launch_cmd "myvenv.zip/venv/bin/python image_classification.py --dataset cifar10 --model vgg11 --epochs 1 --kvstore dist_sync" \
 --num_ps 2 \
 --ps_resources memory=3G,vcores=2 \
 --ps_launch_cmd "myvenv.zip/venv/bin/python image_classification.py --dataset cifar10 --model vgg11 --epochs 1 --kvstore dist_sync" \
 --num_schedulers=1 \
 --scheduler_resources memory=1G,vcores=1 \
 --scheduler_launch_cmd="myvenv.zip/venv/bin/python image_classification.py --dataset cifar10 --model vgg11 --epochs 1 --kvstore dist_sync" \
 --insecure \
 --conf tony.containers.resources=path-to/myvenv.zip#archive,path-to/image_classification.py, \
path-to/submarine-all-0.6.0-hadoop-3.1.jar
