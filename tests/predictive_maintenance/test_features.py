"""The physical features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelling import raw_columns

from pipelines.predictive_maintenance import schema
from pipelines.predictive_maintenance.features import FEATURE_NAMES, MONOTONE, derive


@pytest.fixture(scope="module")
def raw():
    return raw_columns()


def feature(matrix, name):
    return matrix[:, FEATURE_NAMES.index(name)]


def test_every_feature_has_one_name_and_one_sign():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == len(MONOTONE)
    assert set(MONOTONE) <= {-1, 0, 1}


def test_the_matrix_is_float32_in_c_order_with_a_row_per_row(raw):
    matrix = derive(raw)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix.shape == (raw["Type"].size, len(FEATURE_NAMES))
    assert np.isfinite(matrix).all()


def test_no_rows_give_no_features(raw):
    assert derive({name: values[:0] for name, values in raw.items()}).shape[0] == 0


def test_a_negative_margin_is_exactly_a_failure_of_that_mode(raw):
    """A float32 margin must cut where the float64 rule cuts: a blurred 8.6 K misjudges 12 rows."""
    matrix = derive(raw)
    np.testing.assert_array_equal(feature(matrix, "heat_margin") < 0, raw["HDF"] > 0)
    np.testing.assert_array_equal(feature(matrix, "power_margin") < 0, raw["PWF"] > 0)
    np.testing.assert_array_equal(feature(matrix, "strain") > 1, raw["OSF"] > 0)


def test_only_the_input_columns_are_looked_at(raw):
    """Neither the label, nor its parts, nor an identifier may reach the features."""
    inputs = {name: raw[name] for name in schema.COLUMN_NAMES}
    np.testing.assert_array_equal(derive(inputs), derive(raw))


@settings(deadline=None)
@given(order=st.permutations(range(12)))
def test_a_row_depends_on_no_other_row(raw, order):
    """Neighbours would leak: the next row's tool wear tells that a tool has ended."""
    few = {name: values[:12] for name, values in raw.items()}
    shuffled = {name: values[list(order)] for name, values in few.items()}
    np.testing.assert_array_equal(derive(shuffled), derive(few)[list(order)])


def test_an_unknown_type_is_refused_by_name(raw):
    columns = {name: values[:3] for name, values in raw.items()}
    columns["Type"] = np.array(["L", "X", "H"])
    with pytest.raises(ValueError, match=r"Type must be one of L, M, H, not .*'X'"):
        derive(columns)
