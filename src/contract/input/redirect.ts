import { z } from 'zod';
import { common, overRegions, hostName, objectName, place, portNumber } from './fields.ts';
import { procedure } from './procedure.ts';

/** R17. */
export const redirect = procedure({
  workflowType: 'redirectTraffic',
  input: z.strictObject({
    state: z
      .enum(['on', 'off'])
      .default('on')
      .describe('redirect to the maintenance page, or go back from it (default: on)'),
    host: hostName
      .optional()
      .describe('host whose traffic is redirected (default: from the settings)'),
    service: objectName.optional().describe('maintenance Service (default: from the settings)'),
    port: portNumber.optional().describe('its port (default: from the settings, 80)'),
    ...place,
    ...common,
    ...overRegions,
  }),
  argument: 'state',
  automatic: [],
  example: { state: 'on' },
});
