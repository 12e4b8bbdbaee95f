"""The agent: one Python process beside the ApplicationMaster that owns every decision about a job."""
