"""The consistency agent: one process a version that audits on a schedule, remembers, alarms and answers the console."""
