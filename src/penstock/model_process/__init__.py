"""Model processes: the program that runs one package's code, and how it is started and spoken to.

`boot` is what the model's interpreter is given; `keeper` stays outside the model and ends everything it leaves behind;
`program` loads, proves and answers. `messages`, `payloads`, `values` and `failures` are the language that gateway and
model process speak: checked on arrival, and no pickle in it. `starting` is the gateway's side of a start.

Light on purpose: besides the standard library it needs what loading a package needs (`HOST_NEEDS` in
`environments/requirements.py`), and the model's own libraries.
"""
