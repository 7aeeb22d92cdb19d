"""What pyproject.toml cannot say: a file at the root of the installed packages, which Python reads when it starts."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

STARTUP = "src/mrcnn_imgaug.pth"


class WithStartup(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file(STARTUP, str(Path(self.build_lib) / Path(STARTUP).name))

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), STARTUP]


setup(cmdclass={"build_py": WithStartup})
