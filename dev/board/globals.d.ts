// What Airflow's UI shares with the bundles of plugins, as far as the board uses it.

import type * as ReactModule from "react";

declare global {
  var React: typeof ReactModule;
  var ReactRouterDOM: {
    Link: (props: any) => ReactModule.ReactElement;
  };
}
