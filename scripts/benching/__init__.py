"""What scripts/bench is made of: processes to run, figures to measure, bars to hold."""
