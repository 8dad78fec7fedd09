"""Which addresses count as the internet, and how rules and names are compared."""

import pytest

from sentient_desktop.network.addresses import is_public, parse_address
from sentient_desktop.network.policy import Policy, normalise

INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.3", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_address_of_this_machine_or_its_surroundings_is_not_public(text: str) -> None:
    assert not is_public(parse_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8"])
def test_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(parse_address(text))


@pytest.mark.parametrize("text", ["fe80::1%eth0", "127.1", "0x7f000001", "1.1.1.1 ", "", "a"])
def test_text_that_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_address(text)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("EXAMPLE.com.", "example.com"), ("*.Ex.org", "*.ex.org"), ("ÄPFEL.de", "xn--pfel-koa.de")],
)
def test_host_names_are_compared_in_one_form(name: str, plain: str) -> None:
    assert normalise(name) == plain


@pytest.mark.parametrize("name", ["", ".", "*", "a..b", "a b", "a/b", "a\0b", "*.*.b", "x" * 64])
def test_text_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        normalise(name)


@pytest.mark.parametrize(
    ("internet", "allow", "deny", "mode"),
    [
        (True, [], [], "open"),
        (False, [], [], "none"),
        (True, [], ["0.0.0.0/0"], "none"),
        (True, [], ["8.8.8.8"], "proxy"),
        (False, ["1.1.1.1"], [], "proxy"),
        (True, ["a.example"], ["0.0.0.0/0"], "proxy"),
    ],
)
def test_mode_follows_the_rules(
    internet: bool, allow: list[str], deny: list[str], mode: str
) -> None:
    assert Policy.of(internet, {"allowOut": allow, "denyOut": deny}).mode == mode


@pytest.mark.parametrize(
    ("name", "address", "allowed"),
    [
        ("1.1.1.1", "1.1.1.1", True),
        ("8.8.8.8", "8.8.8.8", False),
        ("8.8.4.4", "8.8.4.4", True),
        ("9.9.9.9", "9.9.9.9", True),
        ("a.sub.example", "8.8.8.8", True),
        ("2001:4860:4860::8888", "2001:4860:4860::8888", False),
    ],
)
def test_allowed_wins_over_denied(name: str, address: str, allowed: bool) -> None:
    rules = {"allowOut": ["1.1.1.1", "8.8.4.4", "*.sub.example"]}
    policy = Policy.of(True, rules | {"denyOut": ["8.8.0.0/16", "1.0.0.0/8", "2001:4860::/32"]})
    assert (policy.refusal(name, parse_address(address), ()) is None) == allowed


def test_rule_for_everything_opens_nothing_private_even_where_the_operator_would() -> None:
    policy = Policy.of(True, {"allowOut": ["0.0.0.0/0"]})
    private = Policy.of(True, {"allowOut": ["10.0.0.0/8"]}).allowed
    address = parse_address("10.0.0.1")
    assert policy.refusal("10.0.0.1", address, private)
    assert Policy.of(True, {"allowOut": ["10.0.0.1"]}).refusal("10.0.0.1", address, private) is None
    assert Policy.of(True, {"allowOut": ["10.0.0.1"]}).refusal("10.0.0.1", address, ())
