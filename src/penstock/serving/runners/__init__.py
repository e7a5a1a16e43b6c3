"""Where predictors run: threads of this process, or model processes."""
