job run -name digits -framework TENSORFLOW -input-path hdfs://nn1.example.org:8020/data/digits \
  -num-workers=2 -worker-resources "memory-mb=2048, VCORES=2," -worker-launch-cmd="-u fit.py --lr=0.1" \
  -num_ps 1 -ps_resources 'memory = 900m' -ps_launch_cmd 'set -e
exec python ps.py' -queue ml -tensorboard=false
