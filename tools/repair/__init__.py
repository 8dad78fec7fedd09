"""Deterministic, test-guided program repair: no model, no network, nothing but pytest.

The folder is uploaded into a desktop as the package `sentient_repair` and run there with
`python -m sentient_repair`; it therefore imports only the standard library, pytest and itself.
"""
