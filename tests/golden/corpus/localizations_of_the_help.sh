job run --name places --input_path "" --docker_image tf-docker:1.1.0 --worker_resources memory=1G \
  --worker_launch_cmd "ls -l" -localization "hdfs:///user/yarn/mydir2:/opt/data" -localization "s3a://bucket/a/b/myfile1:./" \
  -localization "https://example.org:8443/a/b/myfile2:./myfile" -localization "mydir3:/opt/mydir3:rw" -localization "./mydir1:."
