"""What a Python context adds to IPython's display: DataFrames as data, figures as charts.

The MIME types and the shape of their content are E2B's: ``e2b/data`` is a column-wise dict,
``e2b/chart`` what e2b-charts extracts from a figure, and lists and dicts are shown as JSON too.
No library is imported before the code itself has imported it.
"""

import json
import sys
from importlib.abc import MetaPathFinder

from IPython.core.formatters import BaseFormatter, JSONFormatter
from traitlets import ObjectName, Unicode


def _plain(value):
    """Turn what JSON does not know, numpy's and pandas' scalars for example, into what it does."""
    for method in ("tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} is not JSON")


def to_json(value):
    """Return a value as JSON holds it, NaN and infinities as None.

    Raises:
        TypeError, ValueError, RecursionError: it has no JSON form.
    """
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)


class DataFormatter(BaseFormatter):
    """pandas DataFrames, column by column."""

    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)

    def __call__(self, obj):
        """Return {column: values}, dates as ISO texts."""
        pandas = sys.modules.get("pandas")
        if pandas is None or not isinstance(obj, pandas.DataFrame):
            return super().__call__(obj)
        columns = {str(key): values for key, values in obj.to_dict(orient="list").items()}
        try:
            return to_json(columns)
        except (TypeError, ValueError, RecursionError):
            return json.loads(json.dumps(columns, default=str), parse_constant=lambda _: None)


class ChartFormatter(BaseFormatter):
    """matplotlib figures, as the data they draw."""

    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, obj):
        """Return the chart, or nothing for a figure e2b-charts cannot read."""
        figure = sys.modules.get("matplotlib.figure")
        if figure is None or not isinstance(obj, figure.Figure):
            return super().__call__(obj)
        try:
            from e2b_charts import chart_figure_to_dict

            return to_json(chart_figure_to_dict(obj))
        except Exception:
            return {}


class PlainJsonFormatter(JSONFormatter):
    """Lists and dicts, besides what describes itself as JSON."""

    def __call__(self, obj):
        """Return the value when it has a JSON form."""
        if type(obj) in (list, dict):
            try:
                return to_json(obj)
            except (TypeError, ValueError, RecursionError):
                return None
        return super().__call__(obj)


def install_formatters(shell) -> None:
    """Register the formatters with a shell, and the images' hook for when PIL is imported."""
    display = shell.display_formatter
    for kind in (DataFormatter, ChartFormatter, PlainJsonFormatter):
        formatter = kind(parent=display)
        display.formatters[formatter.format_type] = formatter
    sys.meta_path.insert(0, ImageHook())


class ImageHook(MetaPathFinder):
    """Shows images that code saves or shows: there is no screen, but there is a client."""

    def find_spec(self, name, path=None, target=None):
        """Let PIL.Image load as usual, then wrap its save and show."""
        if name != "PIL.Image":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                _show_images(module.Image)

            spec.loader.exec_module = exec_module
        return spec


def _show_images(image_class) -> None:
    from IPython.display import display

    save = image_class.save

    def save_and_show(self, fp, format=None, **params):
        if isinstance(fp, str):
            display(self)
        save(self, fp, format, **params)

    image_class.save = save_and_show
    image_class.show = lambda self, title=None: display(self)
