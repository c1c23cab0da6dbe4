"""The catalogue of product specifications: the shipped ones, and a folder of the user's own."""

from importlib.resources import files
from pathlib import Path

import pydantic
import yaml

from ingest.errors import InvalidSpecificationError, UnknownProductError
from ingest.specification import DerivedProduct, Product, ProductSpecification, problems


def load_product(name: str, folder: Path | None = None) -> Product:
    """Return a product by name; the user's folder comes before the shipped ones.

    Raises
    ------
    UnknownProductError
        If there is none; the message lists those that there are.
    InvalidSpecificationError
        If the file cannot be read or says something impossible; all problems are listed.
    """
    texts = _texts(folder)
    if name not in texts:
        raise UnknownProductError(
            "No product specification has this name.",
            found=repr(name),
            expected=", ".join(sorted(texts)),
            remedy="Choose one of these, or write a YAML file and set TIDENET_PRODUCTS_FOLDER.",
        )
    return parse_product(name, texts[name])


def load_files_product(name: str, folder: Path | None = None) -> ProductSpecification:
    """Return a product that is delivered as files. Raises as `load_product`.

    Raises
    ------
    InvalidSpecificationError
        If the product is computed from others.
    """
    product = load_product(name, folder)
    if isinstance(product, DerivedProduct):
        raise InvalidSpecificationError(
            f"The product {name!r} has no files of its own.",
            found=f"drivers: {', '.join(sorted(product.drivers.values()))}",
            expected="a product with a file_pattern",
            remedy="Name one of its drivers.",
        )
    return product


def list_products(folder: Path | None = None) -> list[Product]:
    """Return every product, by name. Raises as `load_product`."""
    return [parse_product(name, text) for name, text in sorted(_texts(folder).items())]


def parse_product(name: str, text: str) -> Product:
    """Return the product of a YAML text: derived if it names drivers.

    Raises
    ------
    InvalidSpecificationError
        If it is no YAML, or says something impossible; all problems are listed.
    """
    kind: type[Product] = ProductSpecification
    try:
        content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise TypeError("the file is not a mapping of names to values")
        kind = DerivedProduct if "drivers" in content else ProductSpecification
        return kind.model_validate({"name": name} | content)
    except pydantic.ValidationError as error:
        found = problems(error)
    except (yaml.YAMLError, TypeError) as error:
        found = " ".join(str(error).split())
    raise InvalidSpecificationError(
        f"The product specification {name!r} is not valid.",
        found=found,
        expected=f"a mapping with the keys {', '.join(kind.model_fields)}",
        remedy="Correct the YAML file; the shipped ones in ingest/products are examples.",
    )


def _texts(folder: Path | None) -> dict[str, str]:
    shipped = files("ingest").joinpath("products")
    texts = {
        item.name.removesuffix(".yaml"): item.read_text(encoding="utf-8")
        for item in shipped.iterdir()
        if item.name.endswith(".yaml")
    }
    if folder is not None:
        if not folder.is_dir():
            raise InvalidSpecificationError(
                "The folder of product specifications does not exist.",
                found=str(folder),
                remedy="Make it, or correct TIDENET_PRODUCTS_FOLDER.",
            )
        texts |= {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.yaml")}
    return texts
