"""What a repository's tests need besides the repository: found out, installed, kept as a layer.

`plan` reads the manifests, `indexes` what package indexes the user configured, `service` answers
an installer in a desktop from these alone, `installing` runs it there.
"""
