"""Everything on one page: metrics, plots, predictions, images -> report/index.html."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params
from pneumonia.files import fresh_dir, read_json
from pneumonia.report import inputs as report_inputs
from pneumonia.report.gallery import index
from pneumonia.report.page import render
from pneumonia.schema.results import CASES, EVALUATION, PAGE, REPORT
from pneumonia.training import tracking


def main() -> None:
    p = params.load()
    shown = {
        "split": p.split.values(),
        **{name: getattr(p, name).values() for name in p.answering},
        "predict": p.predict.values(),
        "ensemble": p.ensemble.values(),
        "evaluate": p.evaluate.values(),
        "report": p.report.values(),
    }
    inputs = report_inputs.read(Path(), p.answering, source=p.fetch.source, params=shown, **p.report.values())
    page = render(inputs)
    with fresh_dir(REPORT) as folder:
        (folder / PAGE).write_text(page, encoding="utf-8")
        CASES.write(folder / CASES.name, index(inputs.galleries))
    tracking.summarize(**p.tracking.values(), metrics=read_json(EVALUATION))
    print(f"{REPORT}/{PAGE}: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
