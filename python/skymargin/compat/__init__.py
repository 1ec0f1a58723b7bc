"""Stand-ins: this package under the names of hats-import and hipscat-import, so that their scripts run unchanged."""
