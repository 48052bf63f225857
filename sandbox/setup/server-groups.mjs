/**
 * Servers that are built together from one Go module.
 * @typedef {object} ServerGroup
 * @property {string} name
 * @property {string} version what is built when nothing acceptable is found
 * @property {string} go the oldest Go that builds it
 * @property {string} takes how long the build takes, in words
 * @property {ServerBinary[]} binaries
 * @property {string} [module] folder of an own tools module, under sandbox/servers
 * @property {string} [variables] -X settings of the linker, for binaries that tell their version
 */

/**
 * @typedef {object} ServerBinary
 * @property {string} name
 * @property {string} package
 * @property {string} least the oldest version on PATH that will do
 * @property {string[]} ask arguments that make it tell its version
 * @property {RegExp} answer its first group is the version
 */

const kubernetesVersion = '1.34.2';

/**
 * @param {string} name
 * @returns {ServerBinary}
 */
function kubernetes(name) {
  return {
    name,
    package: `k8s.io/kubernetes/cmd/${name}`,
    least: '1.33',
    ask: name === 'kubectl' ? ['version', '--client'] : ['--version'],
    answer: /v(\d+\.\d+\.\d+)/,
  };
}

/** @type {ServerGroup[]} */
export const serverGroups = [
  {
    name: 'kubernetes',
    version: kubernetesVersion,
    go: '1.24',
    takes: 'about 8 minutes on two cores, the first time only',
    module: 'kubernetes',
    variables: [
      `-X k8s.io/component-base/version.gitVersion=v${kubernetesVersion}`,
      '-X k8s.io/component-base/version.gitMajor=1',
      '-X k8s.io/component-base/version.gitMinor=34',
    ].join(' '),
    binaries: [
      {
        name: 'etcd',
        package: 'go.etcd.io/etcd/server/v3',
        least: '3.5',
        ask: ['--version'],
        answer: /etcd Version: (\S+)/,
      },
      kubernetes('kube-apiserver'),
      kubernetes('kube-controller-manager'),
      kubernetes('kube-scheduler'),
      kubernetes('kubectl'),
    ],
  },
  {
    name: 'temporal',
    version: '1.5.1',
    go: '1.25',
    takes: 'about 4 minutes on two cores, the first time only',
    binaries: [
      {
        name: 'temporal',
        package: 'github.com/temporalio/cli/cmd/temporal',
        least: '1.3',
        ask: ['--version'],
        // One that was built with `go install` calls itself 0.0.0-DEV and will not do.
        answer: /temporal version (\S+)/,
      },
    ],
  },
  {
    name: 'kwok',
    version: '0.8.0',
    go: '1.26',
    takes: 'about 2 minutes on two cores, the first time only',
    binaries: [
      {
        name: 'kwok',
        package: 'sigs.k8s.io/kwok/cmd/kwok',
        least: '0.7',
        ask: ['--version'],
        answer: /version v(\S+)/,
      },
    ],
  },
  {
    name: 'helm',
    version: '4.3.1',
    go: '1.26',
    takes: 'about 3 minutes on two cores, the first time only',
    binaries: [
      {
        name: 'helm',
        package: 'helm.sh/helm/v4/cmd/helm',
        least: '3.15',
        ask: ['version', '--short'],
        answer: /v(\d+\.\d+(\.\d+)?)/,
      },
    ],
  },
];
