job run --name kaldi-thchs30-distributed \
--env DOCKER_JAVA_HOME=/usr/lib/jvm/java-8-openjdk-amd64/jre/ \
--env DOCKER_HADOOP_HDFS_HOME=/app/hadoop-3.2.0 \
--env YARN_CONTAINER_RUNTIME_DOCKER_CONTAINER_NETWORK=calico-network \
--env PYTHONUNBUFFERED="0" \
--env TZ="Asia/Shanghai" \
--env YARN_CONTAINER_RUNTIME_DOCKER_MOUNTS=/mnt/thchs30/sge/resolv.conf:/etc/resolv.conf,\
/mnt/thchs30/sge/passwd:/etc/passwd:rw,\
/mnt/thchs30/sge/group:/etc/group:rw,\
/mnt/thchs30/sge:/cfg,\
/mnt/thchs30/data:/opt/kaldi/egs/thchs30,\
/mnt/thchs30/mul/s5:/opt/kaldi/egs/mul-thchs30/s5 \
--input_path "" \
--docker_image hadoopsubmarine/kaldi-latest-gpu-base:0.0.1 \
--num_workers 2 \
--worker_resources memory=64G,vcores=32,gpu=1 \
--worker_launch_cmd 'sudo mkdir -p /opt/kaldi/egs/mul-thchs30/s5 && \
sudo cp /opt/kaldi/egs/thchs30/s5/* /opt/kaldi/egs/mul-thchs30/s5 -r && \
cluster_user=`whoami` domain_suffix="ml.com" && \
cd /cfg && bash sge_run.sh 2 /cfg && \
if [ $(echo $HOST_NAME |grep "^master-") ]; then sleep 2m && cd /opt/kaldi/egs/mul-thchs30/s5 && ./run.sh; fi' \
--verbose
