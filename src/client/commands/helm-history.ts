import { lastGood } from '../../activities/helm/choose-revision.ts';
import { ReleaseHistory, type Release } from '../../activities/helm/releases.ts';
import { Clusters } from '../../activities/kubernetes/api.ts';
import { loadSettings } from '../../config/settings.ts';
import { namespaceName, releaseName } from '../../contract/input.ts';
import { printable } from '../../contract/printable.ts';
import { CliError } from '../errors.ts';
import { age, printJson, printLine, table } from '../output.ts';
import type { ClusterOptions } from './cluster.ts';

/** Prints a Helm release's revisions, newest first, with the one that a rollback would go to. */
export async function helmHistory(name: string, options: ClusterOptions): Promise<number> {
  const { settings } = loadSettings();
  const namespace = options.namespace ?? settings.kubernetes.namespace;
  if (!releaseName.safeParse(name).success || !namespaceName.safeParse(namespace).success) {
    throw new CliError(
      `${JSON.stringify(`${namespace}/${name}`)} is no namespace and name of a Helm release.`,
    );
  }
  const cluster = new Clusters(settings.kubernetes.context).of(options.context);
  const history = await ReleaseHistory.read(cluster, namespace, name);
  const [newest] = history.records;
  if (!newest) {
    throw new CliError(
      `There is no Helm release ${name} in namespace ${namespace} of context ${cluster.context}: name another with -n or --context.`,
    );
  }
  const [choice, ...releases] = await Promise.all([
    lastGood(history),
    ...history.records.map(({ revision }) => history.revision(revision)),
  ]);
  // What a rollback has put there is where the next one would leave it.
  const standing = choice.kind === 'standing' ? newest.revision : undefined;
  const lastGoodOne = choice.kind === 'to' ? choice.release.revision : standing;
  const revisions = releases
    .filter((release): release is Release => release !== undefined)
    .map(({ revision, status, chart, updated, description }) => ({
      ...{ revision, status, current: revision === newest.revision },
      lastGood: revision === lastGoodOne,
      ...{ chart: `${chart.name}-${chart.version}`, appVersion: chart.appVersion },
      ...{ updated, description },
    }));
  if (options.json) printJson(revisions);
  else {
    const rows = revisions.map((entry) => {
      const marks = [entry.current && 'current', entry.lastGood && 'last good'].filter(Boolean);
      return [
        `${entry.revision}${marks.length > 0 ? ` (${marks.join(', ')})` : ''}`,
        entry.status,
        ...[entry.chart, entry.appVersion, age(entry.updated), onOneLine(entry.description)],
      ];
    });
    const head = ['REVISION', 'STATUS', 'CHART', 'APP VERSION', 'AGE', 'DESCRIPTION'];
    for (const line of table(head, rows)) printLine(line);
  }
  return 0;
}

/** Helm keeps the whole of an error as a description. */
function onOneLine(text: string): string {
  return printable(text.trim().replace(/\s+/g, ' '));
}
