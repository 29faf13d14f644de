"""Every door of Slidehook on one page: routes, queue consumers, the minute timer. No logic here."""
