job run --name env --input_path "" --worker_resources memory=1G --worker_launch_cmd 'env | sort' \
  --env "LIST=a,b,c" --env 'QUOTED="x y"' --env EQ=a=b=c --env EMPTY= --env BARE --env "LINES=one
two" --env 'DOLLAR=$HOME' --env YARN_CONTAINER_RUNTIME_DOCKER_CONTAINER_NETWORK=host --env DOCKER_JAVA_HOME=/opt/java
