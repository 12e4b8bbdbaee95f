"""What travels to the cluster as one zip: the agent beside the ApplicationMaster and the executor of each task."""
