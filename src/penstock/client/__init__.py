"""Clients of gateways: `penstock.Client` and `penstock.AsyncClient`.

What is asked, how rows become bytes and answers become rows, what is tried again and when: all of it is decided in
`conversation`, as steps. The two clients carry steps out over httpx, and decide nothing.
"""
