"""Everything on one page: metrics, plots, predictions, images -> report/index.html."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params, report_inputs
from pneumonia.files import fresh_dir, write_csv
from pneumonia.gallery import index
from pneumonia.report import render


def main() -> None:
    p = params.load()
    shown = {
        "split": p.split,
        "classifier": p.classifier,
        "maskrcnn": p.maskrcnn,
        "yolo": p.yolo,
        "predict": p.predict,
        "ensemble": p.ensemble,
        "evaluate": p.evaluate,
        "report": p.report,
    }
    inputs = report_inputs.read(
        Path(),
        source=p.fetch.source,
        image_size=p.report.image_size,
        examples=p.report.examples,
        params={name: section.values() for name, section in shown.items()},
    )
    page = render(inputs)
    with fresh_dir("report") as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        write_csv(folder / "cases.csv", index(inputs.galleries))
    print(f"report/index.html: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
