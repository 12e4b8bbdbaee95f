job run --name notebook --input_path "" --num_workers 2 --worker_resources memory=2G,vcores=1 \
  --worker_launch_cmd "python serve.py --port 7070" --quicklink Notebook_UI=https://master-0:7070 \
  --quicklink "second worker=http://worker-1:7071" --keytab /home/ml/ml.keytab --principal ml/_HOST@EXAMPLE.ORG \
  --distribute_keytab --docker_image registry.example.org:5000/ml/tf@sha256:0000000000000000000000000000000000000000000000000000000000000000
