import { once } from 'node:events';
import { z } from 'zod';
import { watchCluster } from './cluster.ts';
import { Features } from './features.ts';
import { createKubelet } from './kubelet.ts';
import { PodLogs } from './pod-logs.ts';
import { createService } from './service.ts';
import { TrafficWindow } from './traffic-window.ts';

const port = z.coerce.number().int().positive();

const settings = z
  .object({
    DATABASE_URL: z.string(),
    REDIS_URL: z.string(),
    WAKALA_PORT: port,
    WAKALA_ADMIN_TOKEN: z.string().min(1),
    WAKALA_KUBELET_PORT: port,
    WAKALA_KUBELET_CERT: z.string(),
    WAKALA_KUBELET_KEY: z.string(),
    WAKALA_KWOK_PORT: port,
    WAKALA_CONTAINERS: z.string(),
  })
  .parse(process.env);

const logs = new PodLogs();
const window = new TrafficWindow();
const features = new Features(settings.DATABASE_URL, settings.REDIS_URL);

const cluster = watchCluster({
  onPod: (pod) => logs.observe(pod),
  onPodGone(uid) {
    logs.forget(uid);
    window.forget(uid);
  },
});

const kubelet = createKubelet({
  cluster,
  logs,
  cert: settings.WAKALA_KUBELET_CERT,
  key: settings.WAKALA_KUBELET_KEY,
  kwokPort: settings.WAKALA_KWOK_PORT,
  containers: settings.WAKALA_CONTAINERS,
});

const adminToken = settings.WAKALA_ADMIN_TOKEN;
const service = createService({ cluster, logs, window, features, adminToken });
kubelet.listen(settings.WAKALA_KUBELET_PORT, '127.0.0.1');
service.listen(settings.WAKALA_PORT, '127.0.0.1');
await Promise.all([once(kubelet, 'listening'), once(service, 'listening')]);
console.log('wakala is ready');
