"""The part of E2B's envd that runs on port 49983 of every sandbox: processes and files."""
