job run --name deepfm-job-001 \
 --framework pytorch \
 --verbose \
 --input_path "" \
 --num_workers 2 \
 --worker_resources memory=1G,vcores=1 \
 --worker_launch_cmd "JAVA_HOME=/usr/lib/jvm/java-8 HADOOP_HOME=/opt/hadoop CLASSPATH=/opt/hadoop/etc/hadoop:/opt/hadoop/share/hadoop/common/* ARROW_LIBHDFS_DIR=/opt/hadoop/lib/native PYTHONPATH=/home/yarn/workspace/submarine/submarine-sdk/pysubmarine sdk.zip/sdk/bin/python run_deepfm.py --conf ./deepfm.json --task_type train" \
 --insecure \
 --conf tony.containers.resources=sdk.zip#archive,submarine-all-0.6.0-hadoop-2.9.jar,run_deepfm.py,deepfm.json
