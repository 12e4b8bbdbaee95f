job run --name pi --framework generic --role master:instances=1,memory=512M --role_cmd master="python3 master.py" \
  --role slave:instances=3,memory=256M,vcores=2 --role_cmd slave='python3 slave.py --i $YARN_SUBMITTER_INDEX' \
  --role_env slave=OMP_NUM_THREADS=2 --role_localization master=fit.py:. --max_runtime 1h30m --src code
