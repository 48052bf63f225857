/** Requests to the tests' API server as kubectl sends them, without the start of a process for each. */
import { HttpMethod, RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import { Agent, fetch } from 'undici';
import { loadKubeconfig } from '../../src/activities/kubernetes/kubeconfig.ts';

interface Request {
  method?: 'POST' | 'PATCH';
  /** Under which name the fields that it writes are recorded. */
  manager?: `kubectl-${string}`;
  /** Media type of the body. */
  type?: string;
  body?: object;
}

export class ApiServer {
  private readonly server: string;
  private readonly access: ReturnType<typeof accessOf>;

  /** @param context of the kubeconfig; its current one where it is left out */
  constructor(context?: string) {
    const config = loadKubeconfig(context);
    this.server = config.getCurrentCluster()?.server ?? '';
    this.access = accessOf(config);
  }

  async get<T>(path: string): Promise<T> {
    return this.request<T>(path, {});
  }

  async request<T>(
    path: string,
    { method, manager, type = 'application/json', body }: Request,
  ): Promise<T> {
    const { headers, dispatcher } = await this.access;
    const query = manager ? `?fieldManager=${manager}` : '';
    const response = await fetch(`${this.server}${path}${query}`, {
      ...{ method: method ?? 'GET', dispatcher },
      headers: { ...headers, ...(body && { 'content-type': type }) },
      body: body && JSON.stringify(body),
    });
    if (response.ok) return (await response.json()) as T;
    throw new Error(`${method ?? 'GET'} ${path}: ${response.status} ${await response.text()}`);
  }
}

async function accessOf(config: ReturnType<typeof loadKubeconfig>) {
  const request = new RequestContext(config.getCurrentCluster()?.server ?? '', HttpMethod.GET);
  await config.applySecurityAuthentication(request);
  const connect = {};
  await config.applyToHTTPSOptions(connect);
  return { headers: request.getHeaders(), dispatcher: new Agent({ connect }) };
}
