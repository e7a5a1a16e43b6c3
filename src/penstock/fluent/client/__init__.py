"""The client object: every call names its run, experiment or model, and none of them is active."""
