"""What a run records, so that an interrupted run can resume and finished work is published whole."""
