"""The command `unsee`: one file a subcommand, each loaded only when it is run."""
