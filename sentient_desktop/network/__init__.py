"""The network of desktops: their ports from outside, and their way out under a policy.

A desktop's network namespace has a loopback device and nothing else. Whatever crosses its border
is carried by this package over the agent's channel, so every decision is made on the host.
"""
