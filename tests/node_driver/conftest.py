"""Shared by all tests of node drivers."""

import pytest

pytest.register_assert_rewrite("tests.node_driver.battery")
