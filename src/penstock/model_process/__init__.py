"""Model processes: the program that runs one package's code, and how it is started and spoken to.

`program/` runs in the model's interpreter: `boot` is what that is given, `keeper` stays outside the model and ends
everything it leaves behind, `main` loads and proves, `service` answers. `protocol/` is the language that gateway and
model process speak: checked on arrival, and no pickle in it. `client/` is the gateway's side: starting and asking.

Light on purpose: besides the standard library it needs what loading a package needs (`HOST_NEEDS` in
`environments/requirements.py`), and the model's own libraries.
"""
