"""Prints the CloudFormation template that AWS makes of a SAM template: translate.py FILE PARAMETERS-AS-JSON.

Runs in the virtual environment of AWS SAM, whose translator is the one that AWS runs."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

template = yaml_parse(Path(sys.argv[1]).read_text())
validator = SamTemplateValidator(
    template, SimpleNamespace(load=dict), region="eu-central-1", parameter_overrides=json.loads(sys.argv[2])
)
print(json.dumps(yaml_parse(validator.get_translated_template_if_valid())))
