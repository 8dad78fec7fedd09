"""What a verdict is made of: pristine desktops, runs compared, flaky tests, faults put in."""
