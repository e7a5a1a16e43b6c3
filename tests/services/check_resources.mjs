// What the custom resources' own schemas say: objects as JSON on stdin, a JSON list of errors on stdout. Given to node as
// text, in the directory of node_modules, since modules are looked for beside the file that names them.
import { readFileSync } from "node:fs";

const KINDS = {
  ServiceMonitor: ["prometheus-operator", "monitoring.coreos.com/v1"],
  PrometheusRule: ["prometheus-operator", "monitoring.coreos.com/v1"],
  ScaledObject: ["keda", "keda.sh/v1alpha1"],
  HTTPRoute: ["gateway-api", "gateway.networking.k8s.io/v1"],
};
const errors = [];
for (const object of JSON.parse(readFileSync(0, "utf-8"))) {
  const [packageName, version] = KINDS[object.kind];
  const found = await import(`@kubernetes-models/${packageName}/${version}`);
  if (object.apiVersion !== version) errors.push(`${object.kind}: ${object.apiVersion} is not ${version}`);
  try {
    new found[object.kind](object).validate();
  } catch (error) {
    errors.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(errors));
