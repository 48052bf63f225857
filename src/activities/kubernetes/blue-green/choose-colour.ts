import { refused } from '../../failures.ts';
import type { Switched } from '../service/switched.ts';
import type { Colour, Colours } from './colours.ts';

interface Choice {
  /** The Service, in words. */
  service: string;
  label: string;
  /** The colour that was asked for. */
  to: string | undefined;
  /** The rollback that has put the traffic where it is. */
  standing: Switched | undefined;
}

/**
 * The colour that traffic is to go to: the one that was asked for, or the only other one. After a
 * rollback that still stands it is the live one, since going back twice must not bring the bad
 * version back.
 * @throws Refused where there is none, or where it cannot be told which.
 */
export function chooseColour({ live, others }: Colours, choice: Choice): Colour {
  const { service, label, to, standing } = choice;
  if (to === live.value || (to === undefined && standing)) return live;
  const known = others.map(({ value, deployments }) => `${value} (${namesOf(deployments)})`);
  const candidates = others.filter(({ value }) => to === undefined || value === to);
  const [wanted, ...more] = candidates;
  if (!wanted) {
    const what = to === undefined ? 'another value' : `${label}=${to}`;
    throw refused(
      `Service ${service} has no colour to go to: no Deployment's pods carry the labels ${live.selector} with ${what} in place of ${label}=${live.value}${known.length > 0 ? `; there are ${known.join(', ')}` : ''}. Deploy it first, or name another label with --label.`,
    );
  }
  if (more.length > 0) {
    throw refused(
      `Service ${service} could go to ${known.join(' or ')}: say which with --to, or as blueGreen.to in the settings.`,
    );
  }
  if (wanted.deployments.length > 1) {
    throw refused(
      `${wanted.selector} is on the pods of several Deployments (${namesOf(wanted.deployments)}), so it cannot be told which one is to take the traffic of Service ${service}: give them different labels.`,
    );
  }
  return wanted;
}

export function namesOf(deployments: Colour['deployments']): string {
  return deployments.map(({ metadata }) => metadata?.name).join(', ');
}
