"""A thread's past: looked at, told, compared, rewound and forked."""
